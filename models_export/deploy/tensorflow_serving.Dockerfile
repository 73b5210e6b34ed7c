# TensorFlow Serving with the model that ships, as our own image has exported it:
#     docker build -f models_export/deploy/tensorflow_serving.Dockerfile -t photo-colorizer-tfs:0.1.0 .
ARG COLORIZER=photo-colorizer:0.1.0
FROM ${COLORIZER} AS colorizer

# As TensorFlow, which has written the model.
FROM tensorflow/serving:2.21.0
COPY --from=colorizer /models /models
COPY --from=colorizer /etc/colorizer /etc/colorizer
ENV MODEL_NAME=colorizer
USER 10001:10001
EXPOSE 8500 8501
CMD ["--enable_batching", "--batching_parameters_file=/etc/colorizer/batching.txt", "--monitoring_config_file=/etc/colorizer/monitoring.txt"]
