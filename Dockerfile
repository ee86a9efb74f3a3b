# Builds two images:
#   --target tutti        all Tutti executables; docker-compose.yml sets the command of each service
#   --target model-host   a llama.cpp server with SmolLM2-135M-Instruct
FROM swift:6.3-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
      libnanomsg-dev libprotobuf-c-dev libmongoc-dev libsqlite3-dev zlib1g-dev \
      libzstd-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Package.swift ./
COPY Shared ./Shared
COPY Services ./Services
COPY Tests ./Tests
# The commit that `--version` prints: docker build --build-arg TUTTI_COMMIT=$(git rev-parse --short HEAD)
ARG TUTTI_COMMIT=
# One executable has all programs; their names are links to it.
RUN swift build -c release --static-swift-stdlib --product all-of-tutti \
    && mkdir /out \
    && cp .build/release/all-of-tutti /out/tutti \
    && strip --strip-debug /out/tutti \
    && for name in $(.build/release/all-of-tutti --names); do \
         [ "$name" = tutti ] || ln -s tutti "/out/$name"; \
       done

FROM debian:bookworm-slim AS tutti
RUN apt-get update && apt-get install -y --no-install-recommends \
      libnanomsg5 libprotobuf-c1 libmongoc-1.0-0 libsqlite3-0 zlib1g libzstd1 \
      ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home --home-dir /var/lib/tutti tutti \
    && chmod 0700 /var/lib/tutti
COPY --from=build /out/ /usr/local/bin/
USER tutti
ENV TUTTI_DATA_DIR=/var/lib/tutti
VOLUME /var/lib/tutti
CMD ["tutti", "--help"]

FROM python:3.11-slim-bookworm AS model-host
COPY Services/CommandLine/EmbeddedModel/requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir --require-hashes --no-deps -r /tmp/requirements.txt \
    && useradd --system --uid 10001 --create-home tutti
COPY Services/CommandLine/EmbeddedModel/embedded_host.py /usr/local/bin/embedded_host.py
USER tutti
CMD ["python3", "/usr/local/bin/embedded_host.py", "--listen", "0.0.0.0", "--port", "8000"]
