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

/// The state of all links and nodes, as the page shows it.
async fn is_whole(stage: &Stage) {
    let browser = &stage.browser;
    browser.until("whole links", "!document.querySelector('.link[data-cut]')").await;
    browser.until("living nodes", "!document.querySelector('.node:not([data-state=up])')").await;
}

#[tokio::test]
async fn a_second_page_watches_and_takes_over() {
    let _turn = wait::turn().await;
    let Some(stage) = Stage::open("a second page", "?lesson-pace=9").await else { return };
    let browser = &stage.browser;
    browser.click("#tab-lessons").await;
    browser.click("#lesson-first-election").await;
    browser.until("cut links", "document.querySelector('.link[data-cut]')").await;
    // The page of another node.
    let other = format!("http://{}/?lesson-pace=9", stage.cluster.door(2));
    let first = browser.open_beside(&other).await;
    browser.click("#tab-lessons").await;
    let shown = "document.querySelector('#lesson-watched:not([hidden])')?.textContent ?? ''";
    browser
        .until("who plays", &format!("{shown}.includes('The first election, played on another')"))
        .await;
    browser.until("what", &format!("{shown}.includes('Take the cluster apart')")).await;
    let disabled = "document.querySelector('#lesson-heartbeats').disabled";
    browser.until("no lesson beside it", disabled).await;
    browser.click("#lesson-take").await;
    is_whole(&stage).await;
    stage.leads().await;
    browser.click("#lesson-heartbeats").await;
    browser.until("a lesson here", "document.querySelector('#lesson')").await;
    let second = "document.querySelector('.step-title')?.textContent === 'Winding up the timers'";
    browser.until("its first step", second).await;

    // The first page sees that it has lost the stage, and who has it now.
    let own = browser.window().await;
    browser.turn_to(&first).await;
    browser
        .until("who plays now", &format!("{shown}.includes('Heartbeats, played on another')"))
        .await;
    // The second one is closed in the middle of its lesson.
    browser.turn_to(&own).await;
    browser.until("slow motion", "document.querySelector('#play-speed').value === '5'").await;
    browser.close(&first).await;
    browser.until("nobody who plays", "document.querySelector('#lesson-watched').hidden").await;
    browser.until("full speed", "document.querySelector('#play-speed').value === '1'").await;
    is_whole(&stage).await;
    stage.browser.end().await;
}
