/*
id = "FGA304"
name = "expensive-failure"
title = "A failing event is expensive"
area = "cost"
severity = "medium"
subject = "urn"
needs = ["functions", "function_facts"]
applies = "is_known"
why = "An event that always fails costs (1 + retries) x timeout x memory."
fix = "Lower the timeout, the memory or the retries."
terraform = '''
# in resource "huaweicloud_fgs_function"
timeout = LONGEST_TIMEOUT_S
'''
assumes = "Each attempt lasts as long as the timeout."
source = "API reference, ListFunctions, read 2026-11-28"

[parameters.max_gb_s]
default = 100
unit = "GB-s"
meaning = "a failing event that costs more is expensive"
*/
WITH costs AS (
    SELECT
        s.id, s.subject, s.retries, s.why_null, f.has_facts, f.timeout, f.memory_size,
        attempts(s.retries)::DOUBLE * f.memory_size / 1024 AS gb
    FROM subjects AS s LEFT JOIN facts AS f USING (id)
)
SELECT
    id, subject, gb * timeout > $max_gb_s AS fails,
    CASE WHEN retries IS NULL THEN why_null WHEN has_facts THEN 'not_stated' ELSE 'facts_missing' END AS why_unknown,
    {'gb_s': gb * timeout, 'retries': retries, 'timeout_s': timeout, 'memory_mb': memory_size,
        'longest_timeout_s': TRY_CAST(floor($max_gb_s / nullif(gb, 0)) AS BIGINT)} AS evidence
FROM costs
