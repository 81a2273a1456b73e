//! Lessons: while one goes on, every call of its workload is refused and its shape kept; at the end a policy is proposed.

use super::input::Body;
use crate::act::{Act, to_the_end};
use crate::admin::Admin;
use crate::peer::Peer;
use crate::wire::{LearnedView, LessonView, NewLesson};
use crate::{Problem, ProblemCode, find};
use axum::extract::{Path, State};
use axum::{Extension, Json};
use cloakroom_model::{Timestamp, WorkloadRecord};
use std::sync::Arc;
use std::time::Duration;

/// No lesson goes on longer: the workload can do nothing meanwhile.
const LONGEST: u64 = 7 * 86_400;

pub(crate) async fn begin(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Body(new): Body<NewLesson>,
) -> Result<Json<LessonView>, Problem> {
    to_the_end(async move {
        let act = Act::begin(&admin, by).await?;
        let workload = find::workload(&act.rows, &new.workload)?.clone();
        if !(1..=LONGEST).contains(&new.seconds) {
            return Err(Problem::new(ProblemCode::MalformedRequest, "a lesson lasts at most seven days"));
        }
        let until = Timestamp::now().plus(Duration::from_secs(new.seconds));
        if admin.lessons.progress(workload.id).is_some() {
            return Err(busy(&workload));
        }
        act.note("lesson begun", &workload.id.to_string(), Some(&workload.name)).await?;
        admin.lessons.begin(workload.id, until).map_err(|_| busy(&workload))?;
        Ok(LessonView { workload: workload.name, calls: 0, until: until.to_string() })
    })
    .await
}

pub(crate) async fn show(
    State(admin): State<Arc<Admin>>,
    Path(workload): Path<String>,
) -> Result<Json<LessonView>, Problem> {
    let rows = admin.store.load().await?;
    let workload = find::workload(&rows, &workload)?;
    let (calls, until) = admin.lessons.progress(workload.id).ok_or_else(none)?;
    Ok(Json(LessonView { workload: workload.name.clone(), calls, until: until.to_string() }))
}

pub(crate) async fn end(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(workload): Path<String>,
) -> Result<Json<LearnedView>, Problem> {
    to_the_end(async move {
        let act = Act::begin(&admin, by).await?;
        let workload = find::workload(&act.rows, &workload)?.clone();
        admin.lessons.progress(workload.id).ok_or_else(none)?;
        act.note("lesson ended", &workload.id.to_string(), Some(&workload.name)).await?;
        let proposed = admin.lessons.end(workload.id).ok_or_else(none)?.propose();
        Ok(LearnedView {
            workload: workload.name,
            calls: proposed.calls,
            permits: proposed.permits,
            left_out: proposed.left_out,
            policy: proposed.toml,
        })
    })
    .await
}

fn busy(workload: &WorkloadRecord) -> Problem {
    Problem::new(ProblemCode::NameTaken, format!("workload {} is in a lesson already", workload.name))
        .hinting(format!("end it: cloakroom learn --workload {} --end", workload.name))
}

fn none() -> Problem {
    Problem::new(ProblemCode::NotFound, "the workload is in no lesson")
        .hinting("begin one: cloakroom learn --workload NAME")
}
