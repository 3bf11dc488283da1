"""The site: the Emperor, the routers and the vassals, as they are observed and acted on."""
