"""The pure core: no Kafka, no metrics, no model runtime, no clock, no environment."""
