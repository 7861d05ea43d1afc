//! `TABLESAMPLE BERNOULLI (10)`: each row with a chance of ten in a hundred.
//!
//! With SYSTEM, Trino draws pieces of the table as it stores them, whatever those are. Here the pieces are the rows.

use datafusion::common::{Result, plan_err};
use datafusion::functions::math::expr_fn::random;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{LogicalPlanBuilder, lit};
use datafusion::sql::sqlparser::ast::{
    Expr, TableFactor, TableSample, TableSampleKind, TableSampleMethod, Value, ValueWithSpan,
};

/// Plans relations with a sample.
#[derive(Debug)]
pub(super) struct SamplePlanner;

impl RelationPlanner for SamplePlanner {
    fn plan_relation(
        &self,
        mut relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let sample = match &mut relation {
            TableFactor::Table { sample, .. } | TableFactor::Derived { sample, .. } => sample.take(),
            _ => None,
        };
        let Some(TableSampleKind::BeforeTableAlias(sample) | TableSampleKind::AfterTableAlias(sample)) =
            sample
        else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let share = share(&sample)?;
        let whole = context.plan(relation)?;
        let plan = LogicalPlanBuilder::from(whole).filter(random().lt(lit(share)))?.build()?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))))
    }
}

/// The chance of a row, from 0 to 1.
fn share(sample: &TableSample) -> Result<f64> {
    let method = matches!(sample.name, Some(TableSampleMethod::Bernoulli | TableSampleMethod::System));
    let plain = sample.seed.is_none() && sample.bucket.is_none() && sample.offset.is_none();
    let quantity =
        sample.quantity.as_ref().filter(|quantity| quantity.parenthesized && quantity.unit.is_none());
    let (true, true, Some(quantity)) = (method, plain, quantity) else {
        return plan_err!(
            "SYNTAX_ERROR: a sample is TABLESAMPLE BERNOULLI (percentage) or SYSTEM (percentage)"
        );
    };
    let Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) = &quantity.value else {
        return plan_err!("TYPE_MISMATCH: Sample percentage should be a number that is written out");
    };
    match digits.parse::<f64>() {
        Ok(percentage) if (0.0..=100.0).contains(&percentage) => Ok(percentage / 100.0),
        _ => plan_err!("NUMERIC_VALUE_OUT_OF_RANGE: Sample percentage must be between 0 and 100"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::sql::testing::{answer, session};

    #[tokio::test]
    async fn a_sample_has_some_of_the_rows() {
        let rows: Vec<_> = (0..2000).map(|at| json!({"eventname": at.to_string()})).collect();
        let session = session(&rows);
        let count = async |sample: &str| -> usize {
            let sql = format!(
                "SELECT count(*) FROM cloudtrail_logs AS c TABLESAMPLE {sample} WHERE c.eventname <> 'x'"
            );
            answer(&session, &sql).await[0].parse().unwrap()
        };
        assert_eq!(count("BERNOULLI (100)").await, 2000);
        assert_eq!(count("SYSTEM (0)").await, 0);
        let half = count("BERNOULLI (50.0)").await;
        assert!((500..1500).contains(&half), "{half}");
        for (sample, class) in
            [("BERNOULLI (101)", "NUMERIC_VALUE_OUT_OF_RANGE"), ("(10 ROWS)", "SYNTAX_ERROR")]
        {
            let sql = format!("SELECT count(*) FROM cloudtrail_logs TABLESAMPLE {sample}");
            let error = session.collect(&sql, &[]).await.unwrap_err().to_string();
            assert!(error.starts_with(class), "{error}");
        }
    }
}
