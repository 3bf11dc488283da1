"""Tests against a real Emperor, FastRouter, HTTP front and load."""
