/*
id = "FGA502"
name = "unknown-to-the-documentation"
title = "The answer has a type or field that the documentation does not know"
area = "hygiene"
severity = "info"
subject = "urn"
needs = ["functions", "destinations"]
applies = "status = 'configured'"
why = "The vendor's API has changed, or an undocumented feature is used. Other rules may not understand it."
fix = "Read the vendor's newest pages, and update this tool. No block is given: the values are not documented."
command = "inventory review RUN --only FGA502 --format csv --output undocumented.csv"
source = "API reference, read 2026-11-25"
*/
SELECT
    s.id, s.subject, s.extra IS NOT NULL OR t.types IS NOT NULL AS fails, {'extra': s.extra, 'destinations': t.types} AS evidence
FROM subjects AS s LEFT JOIN (
    SELECT subject_id AS id, list(type ORDER BY event) AS types
    FROM targets WHERE extra IS NOT NULL OR type NOT IN ('OBS', 'SMN', 'DIS', 'FunctionGraph') GROUP BY subject_id
) AS t USING (id)
