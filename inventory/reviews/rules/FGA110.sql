/*
id = "FGA110"
name = "target-disabled"
title = "The destination is a disabled function"
area = "reliability"
severity = "high"
subject = "destination"
needs = ["functions", "destinations", "function_facts"]
applies = "type = 'FunctionGraph'"
why = "The target's concurrency is 0: the service refuses to run it."
fix = "Enable the target function, or choose another destination."
terraform = '''
# in resource "huaweicloud_fgs_function" of the destination
max_instance_num = "400"
'''
source = "API reference, ListFunctions, read 2026-11-28"
*/
SELECT
    t.id, t.subject, t.event, t.target_urn AS target,
    CASE WHEN t.target_exists = false AND t.target_urn IS NOT NULL THEN false ELSE f.concurrency = 0 END AS fails,
    CASE
        WHEN t.target_urn IS NULL THEN 'param_unreadable'
        WHEN f.has_facts THEN 'not_stated'
        WHEN contains(t.target_urn, ':!') THEN 'alias_unresolved'
        WHEN t.target_status IN ('not_listed', 'other_qualifier') THEN 'not_listed'
        ELSE 'facts_missing'
    END AS why_unknown,
    {'concurrency': f.concurrency} AS evidence
FROM targets AS t LEFT JOIN facts AS f ON f.id = t.target_id
