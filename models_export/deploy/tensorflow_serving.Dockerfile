# TensorFlow Serving with the model that ships, as our own image has exported it, which comes first:
#     docker build -f models_export/deploy/Dockerfile -t photo-colorizer:0.1.0 .
#     docker build -f models_export/deploy/tensorflow_serving.Dockerfile -t photo-colorizer-tfs:0.1.0 .
# It does not hear SIGTERM as process 1: docker run --init.
ARG COLORIZER=photo-colorizer:0.1.0
FROM ${COLORIZER} AS exported

# As TensorFlow, which has written the model.
FROM tensorflow/serving:2.21.0
COPY --from=exported /models /models
COPY --from=exported /etc/colorizer /etc/colorizer
# oneDNN's kernels on CPUs without AVX-512 too, as our own server asks for them.
ENV MODEL_NAME=colorizer \
    TF_ENABLE_ONEDNN_OPTS=1
USER 10001:10001
EXPOSE 8500 8501
# The image has neither curl nor Python.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8501 && printf 'GET /v1/models/colorizer HTTP/1.0\r\n\r\n' >&3 && grep -q AVAILABLE <&3"]
CMD ["--enable_batching", "--batching_parameters_file=/etc/colorizer/batching.txt", "--monitoring_config_file=/etc/colorizer/monitoring.txt"]
