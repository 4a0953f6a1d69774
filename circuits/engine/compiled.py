from circuits.engine.reference import run  # replaced by the LLVM backend
