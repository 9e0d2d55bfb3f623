// On a narrow screen the menu is wider than the page: begin with the current entry in view.
document.querySelector(".menu [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
