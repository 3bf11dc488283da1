"""What uWSGI speaks: its stats, packets, configs and protocols. It knows vassals and nodes, and no roll."""
