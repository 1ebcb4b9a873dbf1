# docker build -t openmm-cgvae . && docker run --rm -v "$PWD:/data" openmm-cgvae backmap ca.dcd --top ca.pdb --model protein-ca -o aa.dcd
# The whole image has the C++ compiler that ParmEd, of which PyPI has the source alone, is built with.
FROM python:3.11 AS build
COPY . /source
WORKDIR /source
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel --constraint constraints.txt . parmed

FROM python:3.11-slim
# RDKit's drawing needs these libraries.
RUN apt-get update && apt-get install --yes --no-install-recommends libxrender1 libxext6 libexpat1 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /wheel /wheel
COPY constraints.txt /wheel/constraints.txt
RUN pip install --no-cache-dir --constraint /wheel/constraints.txt /wheel/*.whl && rm -r /wheel
WORKDIR /data
ENTRYPOINT ["openmm-cgvae"]
CMD ["--help"]
