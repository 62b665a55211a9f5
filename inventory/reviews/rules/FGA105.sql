/*
id = "FGA105"
name = "age-shorter-than-retries"
title = "Events expire before their retries end"
area = "reliability"
severity = "high"
subject = "urn"
needs = ["functions", "function_facts"]
applies = "is_known"
why = "The event age is shorter than all attempts can last: (1 + retries) x timeout. The last retries never start."
fix = "Raise max_async_event_age_in_seconds, or lower the retries or the function's timeout."
terraform = '''
# in resource "huaweicloud_fgs_async_invoke_configuration"
max_async_event_age_in_seconds = LEAST_AGE_S
'''
assumes = "Each attempt may last as long as the timeout."
source = "user guide functiongraph_01_0390_03, read 2026-11-25; API reference, ListFunctions, read 2026-11-28"
*/
SELECT
    s.id, s.subject, age_s < attempts(retries)::DOUBLE * timeout AS fails,
    CASE WHEN age_s IS NULL OR retries IS NULL THEN why_null WHEN has_facts THEN 'not_stated' ELSE 'facts_missing' END
        AS why_unknown,
    {'age_s': age_s, 'retries': retries, 'timeout_s': timeout, 'least_age_s': TRY_CAST(attempts(retries)::DOUBLE * timeout AS BIGINT)} AS evidence
FROM subjects AS s LEFT JOIN facts USING (id)
