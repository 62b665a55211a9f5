"""Huawei Cloud over HTTP: credentials, requests, responses. Read-only."""
