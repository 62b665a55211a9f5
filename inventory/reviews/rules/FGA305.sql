/*
id = "FGA305"
name = "shared-prefix"
title = "Many functions write to one bucket and prefix"
area = "cost"
severity = "low"
subject = "destination"
needs = ["functions", "destinations"]
applies = "type = 'OBS'"
why = "The objects of many functions are mixed: no one can expire or bill them by owner."
fix = "Give each package a prefix of its own."
terraform = '''
# in resource "huaweicloud_fgs_async_invoke_configuration"
EVENT {
  destination = "OBS"
  param       = jsonencode({ bucket = "BUCKET", prefix = "PACKAGE", expires = EXPIRES_DAYS })
}
'''
source = "user guide functiongraph_01_0390_03, read 2026-11-25"

[parameters.max_functions]
default = 20
unit = "functions"
meaning = "more functions than this are many"
*/
SELECT
    t.id, t.subject, t.event, t.place AS target,
    CASE
        WHEN p.functions > $max_functions THEN true
        WHEN p.functions + p.unknown_functions <= $max_functions THEN false
    END AS fails,
    CASE WHEN t.place_hash IS NULL THEN 'param_unreadable' ELSE p.why_unknown END AS why_unknown,
    {'functions': p.functions, 'expires_days': t.obs_expires_days} AS evidence
FROM targets AS t LEFT JOIN places AS p USING (place_hash)
