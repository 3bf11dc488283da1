"""What uWSGI speaks: its stats, packets, configs and protocols."""
