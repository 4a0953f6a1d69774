# The two commands of README.md, and what they rest on. Everything is installed into .venv.
PYTHON ?= python3
VENV   ?= .venv
RUN     = $(VENV)/bin/python
WORKERS ?= 2

.PHONY: install search test test-quick docs studies clean
.DELETE_ON_ERROR:

install: $(VENV)/installed

search: install           ## explores the default design space; results in runs/default
	$(RUN) -m dse.search

test: $(VENV)/installed-test   ## the whole test suite, on WORKERS processes
	$(RUN) -m pytest -n $(WORKERS) --dist worksteal

test-quick: $(VENV)/installed-test   ## the tests that take less than about two seconds each
	$(RUN) -m pytest -n $(WORKERS) --dist worksteal -m "not slow"

docs: $(VENV)/installed-test   ## the documentation as a site that needs no network, in site/
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict

studies: $(VENV)/installed-attacks   ## every study, quick; compares with what is committed, writes studies/RESULTS.md
	$(RUN) -m studies run all --quick
	$(RUN) -m studies check --results runs/studies
	$(RUN) -m studies report --results runs/studies

clean:                    ## removes the virtual environment, all results and the site
	rm -rf $(VENV) runs site

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python >= 3.11 is needed, but $(PYTHON) is $$($(PYTHON) -V); run make PYTHON=python3.11, say."; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/installed-attacks: $(VENV)/installed
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[attacks]'
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,docs]'
	@touch $@
