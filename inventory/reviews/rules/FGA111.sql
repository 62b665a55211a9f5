/*
id = "FGA111"
name = "invisible-losses"
title = "Lost events leave no trace"
area = "reliability"
severity = "medium"
subject = "urn"
needs = ["functions"]
applies = "is_known"
why = "No failure destination, no status log and no known log group: no one can see that events fail."
fix = "Set on_failure, or enable the asynchronous status log."
terraform = '''
# in resource "huaweicloud_fgs_async_invoke_configuration"
enable_async_status_log = true
'''
source = "user guide functiongraph_01_0390_03, read 2026-11-25; API reference, ListFunctions, read 2026-11-28"
*/
SELECT
    s.id, s.subject, NOT has_failure_destination AND NOT status_log AND coalesce(log_group_id, '') = '' AS fails,
    why_null AS why_unknown,
    {'status_log': status_log, 'log_group_id': log_group_id} AS evidence
FROM subjects AS s LEFT JOIN facts USING (id)
