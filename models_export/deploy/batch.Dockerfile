# Workers of models_export.batch. After the image of ./Dockerfile, from the root of the repository:
#     docker build -f models_export/deploy/batch.Dockerfile -t photo-colorizer-batch:0.1.0 .
ARG COLORIZER=photo-colorizer:0.1.0
FROM apache/beam_python3.12_sdk:2.77.0 AS beam

FROM ${COLORIZER}
ARG BEAM_EXTRAS=gcp
USER 0:0
RUN /opt/colorizer/bin/pip install --no-cache-dir "apache-beam[${BEAM_EXTRAS}]==2.77.0"
COPY --from=beam /opt/apache/beam /opt/apache/beam
USER 10001:10001
ENTRYPOINT ["/opt/apache/beam/boot"]
CMD []
