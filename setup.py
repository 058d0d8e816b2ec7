"""The one thing that pyproject.toml cannot say: a C extension that may fail to build."""

import sys

from setuptools import Extension, setup

flags = [] if sys.platform == "win32" else ["-O3", "-ffp-contract=off", "-fno-math-errno"]
setup(
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
    ext_modules=[
        Extension(
            "boundary_research.classifier._kernel",
            ["boundary_research/classifier/_kernel.c"],
            extra_compile_args=flags,
            py_limited_api=True,
            optional=True,  # without a compiler the scikit-learn path is used
        )
    ],
)
