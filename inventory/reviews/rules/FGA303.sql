/*
id = "FGA303"
name = "many-invocations"
title = "One event may cause many invocations"
area = "cost"
severity = "medium"
subject = "urn"
needs = ["functions", "destinations", "chains"]
applies = "is_known"
why = "Retries of each function of the chain multiply the invocations that are paid."
fix = "Lower the retries, or shorten the chain; of a cycle, remove a destination (FGA201, FGA202)."
terraform = '''
# in resource "huaweicloud_fgs_async_invoke_configuration" of each function of the chain
max_async_retry_attempts = 1
'''
source = "user guide functiongraph_01_0390_03, read 2026-11-25"

[parameters.max_invocations]
default = 100
unit = "invocations"
meaning = "more invocations of one event are many"
*/
SELECT
    s.id, s.subject,
    CASE WHEN e.most_invocations > $max_invocations THEN true WHEN NOT e.is_lower_bound THEN false END AS fails,
    e.why_unknown,
    {'most_invocations': CASE WHEN NOT e.is_infinite THEN e.most_invocations END, 'is_infinite': e.is_infinite} AS evidence
FROM subjects AS s LEFT JOIN envelope AS e USING (id)
