# syntax=docker/dockerfile:1
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv --without-pip /opt/twofold

# torch first, by its exact pin, in its CPU build: PyPI's build for Linux brings gigabytes of CUDA.
COPY constraints.txt .
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/twofold/bin/python install --no-deps \
        --index-url https://download.pytorch.org/whl/cpu \
        "$(grep --extended-regexp '^torch==' constraints.txt)"

COPY . .
RUN --mount=type=cache,target=/root/.cache/pip \
    pip wheel --no-deps --wheel-dir dist . \
    && pip --python /opt/twofold/bin/python install --constraint constraints.txt dist/*.whl


FROM python:3.11-slim-bookworm
RUN pip uninstall --yes --root-user-action ignore setuptools wheel pip \
    && useradd --uid 10001 --user-group --home-dir /data --no-create-home twofold \
    && install --directory --owner 10001 --group 10001 /data
COPY --from=build /opt/twofold /opt/twofold
# HOME is the volume, so a model that is downloaded (~/.cache/huggingface) is downloaded once.
ENV PATH=/opt/twofold/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/data \
    TWOFOLD_HOME=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
ENTRYPOINT ["twofold"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000", "--profile", "starter"]
