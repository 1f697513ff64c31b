# The production image of migrate, gateway and worker, without build and test tools.

FROM python:3.11-slim-bookworm AS dependencies
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.txt /build/requirements.txt
RUN python -m venv /opt/tenantry \
    && /opt/tenantry/bin/pip install --require-hashes --only-binary :all: -r /build/requirements.txt \
    && /opt/tenantry/bin/pip uninstall -y pip setuptools

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin tenantry
COPY --from=dependencies /opt/tenantry /opt/tenantry
WORKDIR /srv/tenantry
COPY billing billing
COPY gateway gateway
COPY migrations migrations
COPY tenantry tenantry
COPY tenants tenants
# Replace the example with your own resources, and name their module in TENANTRY_RESOURCES.
COPY examples examples
ENV PATH=/opt/tenantry/bin:$PATH \
    PYTHONPATH=/srv/tenantry \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
RUN python -m compileall -q -j 0 /srv/tenantry \
    && install -d -o 10001 -g 10001 -m 700 /var/lib/tenantry/usage /var/lib/tenantry/audit
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "gateway.cli"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
