"""Huawei Cloud over HTTP: credentials, requests, responses. Nothing here writes to the cloud."""
