//! Lessons, played to their ends on a real cluster.

use super::Stage;
use crate::harness::wait;

/// Plays one lesson. Each step that comes has a deadline of its own.
async fn play(stage: &Stage, name: &str) {
    let browser = &stage.browser;
    browser.click("#tab-lessons").await;
    browser.click(&format!("#lesson-{name}")).await;
    let script = "const over = document.querySelector('#lesson')?.dataset.over ?? null;
        const step = document.querySelectorAll('.lesson-steps [data-state=done]').length;
        const missed = document.querySelector('.step-wait[data-state=missed]');
        return [over, step, missed?.textContent ?? null]";
    let mut step = -1;
    loop {
        let seen = wait::until(&format!("next step of {name}"), async || {
            let seen = browser.eval(script).await;
            let is_new = step < seen[1].as_i64().unwrap() || !seen[0].is_null();
            (is_new || !seen[2].is_null()).then_some(seen)
        })
        .await;
        assert!(seen[2].is_null(), "{name}: {seen}");
        if !seen[0].is_null() {
            assert_eq!(seen[0], "done", "{name}");
            break;
        }
        step = seen[1].as_i64().unwrap();
    }
    browser.click("#lesson-next").await;
    browser.until("a whole cluster", "!document.querySelector('.link[data-cut]')").await;
    browser.until("living nodes", "!document.querySelector('.node:not([data-state=up])')").await;
}

#[tokio::test]
async fn the_classic_lessons_play_to_their_ends() {
    let _turn = wait::turn().await;
    let Some(stage) = Stage::open("lessons", "?lesson-pace=0").await else { return };
    for name in ["first-election", "heartbeats", "replication", "catch-up", "lost-leader"] {
        play(&stage, name).await;
    }
    stage.end().await;
}

#[tokio::test]
async fn the_hard_lessons_play_to_their_ends() {
    let _turn = wait::turn().await;
    let Some(stage) = Stage::open("lessons", "?lesson-pace=0").await else { return };
    for name in ["split-vote", "figure-8", "members"] {
        play(&stage, name).await;
    }
    stage.browser.check_clean(&stage.host()).await;
    // The write of a minority may be refused, which the console notes by itself.
    play(&stage, "partition").await;
    stage.browser.end().await;
}

#[tokio::test]
async fn a_lesson_that_is_left_puts_right_what_it_broke() {
    let _turn = wait::turn().await;
    let Some(stage) = Stage::open("a lesson that is left", "?lesson-pace=9").await else { return };
    let browser = &stage.browser;
    browser.click("#tab-lessons").await;
    browser.click("#lesson-first-election").await;
    browser.until("cut links", "document.querySelector('.link[data-cut]')").await;
    browser.until("the step's end", "!document.querySelector('#lesson-next').disabled").await;
    browser.click("#lesson-pause").await;
    browser.click("#lesson-leave").await;
    browser.until("the list", "document.querySelector('.lesson-list')").await;
    browser.until("whole links", "!document.querySelector('.link[data-cut]')").await;
    stage.leads().await;
    stage.end().await;
}
