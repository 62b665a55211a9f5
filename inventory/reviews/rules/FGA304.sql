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
SELECT
    s.id, s.subject, (1 + s.retries) * f.timeout * f.memory_size / 1024 > $max_gb_s AS fails,
    CASE WHEN s.retries IS NULL THEN s.why_null WHEN f.has_facts THEN 'not_stated' ELSE 'facts_missing' END AS why_unknown,
    {'gb_s': (1 + s.retries) * f.timeout * f.memory_size / 1024, 'retries': s.retries, 'timeout_s': f.timeout,
        'memory_mb': f.memory_size,
        'longest_timeout_s': floor($max_gb_s * 1024 / nullif((1 + s.retries) * f.memory_size, 0))::BIGINT} AS evidence
FROM subjects AS s LEFT JOIN facts AS f USING (id)
