/*
id = "FGA204"
name = "long-chain"
title = "One event passes through a long chain of functions"
area = "reliability"
severity = "low"
subject = "urn"
needs = ["functions", "destinations", "chains"]
applies = "is_known"
why = "Each step multiplies retries, delay and cost, and no one sees the whole chain."
fix = "Shorten the chain, or use a workflow service. Terraform has no resource for a chain."
command = "inventory review RUN --format csv --table envelope --output envelope.csv"
source = "user guide functiongraph_01_0390_03, read 2026-11-25"

[parameters.max_length]
default = 3
unit = "functions"
meaning = "a chain of more functions is long"
*/
SELECT
    s.id, s.subject,
    CASE
        WHEN c.is_infinite OR c.length > $max_length THEN true
        WHEN NOT coalesce(y.reaches_unknown, false) THEN false
    END AS fails,
    y.why_unknown, {'length': c.length, 'is_infinite': c.is_infinite} AS evidence
FROM subjects AS s LEFT JOIN chains AS c USING (id) LEFT JOIN cycles AS y USING (id)
