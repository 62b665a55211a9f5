/*
id = "FGA302"
name = "expiry-not-stated"
title = "It is not stated when objects expire"
area = "cost"
severity = "low"
subject = "destination"
needs = ["functions", "destinations"]
applies = "type = 'OBS'"
why = "param has no expires, and its default is not documented."
fix = "Set expires."
terraform = '''
# in resource "huaweicloud_fgs_async_invoke_configuration"
EVENT {
  destination = "OBS"
  param       = jsonencode({ bucket = "BUCKET", prefix = "PREFIX", expires = 30 })
}
'''
source = "API reference, read 2026-11-25"
*/
SELECT
    id, subject, event, place AS target, CASE WHEN param_valid THEN obs_expires_days IS NULL END AS fails,
    'param_unreadable' AS why_unknown
FROM targets
