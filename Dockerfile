# One image for every role; the command chooses: riskshift worker, riskshift topics, ...
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

COPY pyproject.toml README.md LICENSE riskshift.py /src/
COPY features /src/features
COPY models /src/models
COPY alerts /src/alerts
COPY streams /src/streams
COPY policies /src/policies
COPY schemas /src/schemas
RUN pip install /src && rm -rf /src \
    && useradd --system --uid 10001 --home-dir /var/lib/riskshift --create-home riskshift

USER riskshift
WORKDIR /var/lib/riskshift
ENTRYPOINT ["riskshift"]
CMD ["--help"]
