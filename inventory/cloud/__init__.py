"""Huawei Cloud over HTTP: client, responses, credentials. Knows no run."""
