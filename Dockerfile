# docker build -t openmm-cgvae . && docker run --rm -v "$PWD:/data" openmm-cgvae backmap ca.dcd --top ca.pdb --model protein-ca -o aa.dcd
FROM python:3.11-slim AS build
RUN pip install --no-cache-dir build
COPY . /source
RUN python -m build --wheel --outdir /wheel /source

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
