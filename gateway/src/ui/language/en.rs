//! English.

use super::{Heading, Texts};

pub(super) static TEXTS: Texts = Texts {
    thousands: ",",
    seconds: ["about {a} to {b} seconds", "less than {b} seconds", "about {b} seconds"],
    minutes: ["about {a} to {b} minutes", "less than {b} minutes", "about {b} minutes"],
    hours: ["about {a} to {b} hours", "less than {b} hours", "about {b} hours"],
    unknown: "Not known yet.",

    title: "You are in line",
    lead: "Many people are here right now, so everyone enters in order.",
    place: "Your place in line",
    place_unit: "",
    progress: "How far the line has moved for you",
    wait: "Estimated wait",
    next: "What happens next",
    steps: [
        "You enter automatically when it is your turn.",
        "Keep this page open, or come back later: your place is kept.",
        "Refreshing the page does not lose your place.",
    ],
    ticket: "Ticket",
    updated: "Updated",
    as_of: ["as of ", ""],
    standstill: [
        "The shop is full at the moment. The line moves on as people leave.",
        "People whose turn came earlier are back and go first. Your place is kept.",
    ],
    leave: "Leave the line",
    leave_warning: "You give up your place. If you come back, you start at the end of the line.",
    leave_confirm: "Give up my place",
    arriving: "One moment, please",
    arriving_lead: "You are about to get your place in line. This page goes on by itself.",
    arriving_note: "If it does not, please allow cookies for this site and try again.",
    called: "Your turn in a moment",
    called_lead: "You have reached the front of the line. Please stay here, you enter automatically.",
    kept_note: "The line cannot be reached at the moment. Your place is kept, and this page keeps trying.",
    paused_note: "Nobody is being let in at the moment. Your place is kept.",
    resting_note: "The shop is catching its breath. Your place is kept, and the line goes on by itself.",
    ended_note: "Your time inside has ended, so you are in line again.",
    held_title: "Not sent yet",
    held_lead: "The shop has not received your form yet.",
    form_kept: "All that you filled in is kept on this page.",
    form_kept_how: [
        "Keep this page open: the form is sent by itself when it is your turn.",
        "Keep this page open and press the button now and then: the form is sent once it is your turn.",
    ],
    form_part: "What you filled in is kept on this page, but passwords, card details and files are not. Left out:",
    form_part_how: [
        "Keep this page open: it tells you when it is your turn.",
        "Keep this page open and press the button now and then: the form is sent once it is your turn.",
    ],
    form_lost: "What you filled in could not be kept on this page.",
    form_lost_how: [
        "When it is your turn this page loads again: let the browser send the form once more, or go back and send it from there.",
        "Load this page again now and then and let the browser send the form once more, or go back and send it from there.",
    ],
    form_turn: "It is your turn. Go back to fill in what was left out, or send the form without it.",
    form_send: "Send it again",
    pass_ending: "Your time in the shop ends soon.",
    pass_last: "Your time in the shop ends soon and cannot be extended. Please finish what you are doing.",
    pass_ended: "Your time in the shop has ended. You may have to wait in line again, so keep a copy of what you have typed.",
    pass_stay: "Stay in the shop",
    pass_close: "Close",

    suspended: Heading {
        title: "Closed for the moment",
        lead: "Nobody new is let in right now. If you were in line, your place is kept.",
    },
    full: Heading {
        title: "Full right now",
        lead: "There is no room left at the moment. Please try again a little later.",
    },
    too_many: Heading {
        title: "One moment, please",
        lead: "Too many requests came from your connection in a short time.",
    },
    left: Heading {
        title: "You have left the line",
        lead: "Your place is free for the next person. If you come back, you get a new place.",
    },
    busy: Heading {
        title: "Very busy right now",
        lead: "The site could not take this request in time. Please try again in a moment.",
    },
    failed: Heading {
        title: "Something went wrong",
        lead: "The site did not answer as it should. Please try again in a moment.",
    },
    ended: Heading {
        title: "Your time inside has ended",
        lead: "The form was not sent. Go back to keep a copy of what you wrote, then take a place in line.",
    },
    refreshes: "This page checks again by itself.",
    try_again: "Try again",
    go_back: "Back to the site",
    error: "Error",
    request: "Request",
};
