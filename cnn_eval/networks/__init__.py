"""The networks, one a file; `cnn_eval.models` names them."""
