/*
id = "FGA203"
name = "alias-cycle"
title = "Functions call each other without end if an alias points there"
area = "reliability"
severity = "medium"
subject = "cycle"
needs = ["functions", "destinations", "cycles"]
applies = "is_known"
why = "The cycle closes only if an alias points to one of its versions. Without a list of aliases this is not known."
fix = "Export with --aliases, which decides it, then remove one destination. Without aliases there is no block."
command = "inventory export --all --region REGION --project-id PROJECT_ID --versions --aliases --output DIR"
assumes = "The alias points to the version that closes the cycle."
source = "user guide functiongraph_01_0390_03, read 2026-11-25"
*/
SELECT
    s.id, s.subject, CASE WHEN c.alias_id = s.id THEN s.subject ELSE '' END AS component,
    CASE WHEN c.alias_id IS NOT NULL THEN true WHEN NOT coalesce(c.reaches_unknown, false) THEN false END AS fails,
    c.why_unknown, {'urns': l.members, 'size': l.size, 'kind': l.kind, 'unknown_urn': c.unknown_urn} AS evidence
FROM subjects AS s
LEFT JOIN cycles AS c USING (id)
LEFT JOIN cycle_list AS l ON l.type = 'alias' AND l.component_id = c.alias_id
