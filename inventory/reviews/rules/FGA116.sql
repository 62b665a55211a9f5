/*
id = "FGA116"
name = "param-unusable"
title = "The destination's parameters are unusable"
area = "reliability"
severity = "medium"
subject = "destination"
needs = ["functions", "destinations"]
applies = "type IN ('OBS', 'SMN', 'DIS', 'FunctionGraph')"
why = "param is not JSON, or lacks the key that its type needs: nothing can be delivered."
fix = "Write param again: bucket for OBS, topic_urn for SMN, stream_name for DIS, func_urn for FunctionGraph."
terraform = '''
# in resource "huaweicloud_fgs_async_invoke_configuration"
EVENT {
  destination = "TARGET"
  param       = jsonencode({ NEEDED_KEY = "VALUE" })
}
'''
source = "user guide functiongraph_01_0390_03, read 2026-11-25"
*/
SELECT
    id, subject, event, type AS target,
    NOT coalesce(param_valid, false) OR CASE type
        WHEN 'OBS' THEN obs_bucket WHEN 'SMN' THEN smn_topic_urn WHEN 'DIS' THEN dis_stream_name ELSE target_urn
    END IS NULL AS fails,
    {
        'param': left(param, 200), 'is_json_object': param_valid,
        'needed_key': CASE type
            WHEN 'OBS' THEN 'bucket' WHEN 'SMN' THEN 'topic_urn' WHEN 'DIS' THEN 'stream_name' ELSE 'func_urn'
        END
    } AS evidence
FROM targets
