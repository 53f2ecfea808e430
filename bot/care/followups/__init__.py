"""Follow-up: plans and check-ins (`rows`), their life (`states`), starting them and what the clock does (`course`),
and what a patient's answers set off (`answers`). The named plans themselves are data: `followup_plans`."""
