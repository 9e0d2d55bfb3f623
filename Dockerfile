# One image for the web process, the workers and beat; docker-compose.yml says which is which.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

RUN useradd --system --create-home --uid 1000 countersign \
    && install --directory --owner countersign /app /data
WORKDIR /app

# A machine without a GPU may point this at an index with the CPU build of torch.
ARG PIP_EXTRA_INDEX_URL=
COPY requirements.txt ./
RUN pip install "$(grep '^torch==' requirements.txt)" && pip install -r requirements.txt

COPY . .
RUN ENVIRONMENT=production SECRET_KEY=only-for-the-build ALLOWED_HOSTS=build VAR_DIR=/tmp/build \
    python manage.py collectstatic --noinput --verbosity 0 && rm -rf /tmp/build

USER countersign
ENV ENVIRONMENT=production VAR_DIR=/data
VOLUME /data
EXPOSE 8000
CMD ["gunicorn", "annotation_site.wsgi", "--bind=0.0.0.0:8000", "--workers=4", "--threads=4", \
     "--worker-tmp-dir=/dev/shm", "--access-logfile=-"]
