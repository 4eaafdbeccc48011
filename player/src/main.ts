// Opens the package that the address names: ?url=ADDRESS, and what goes with it.
import "./page/style.css";
import { Player } from "./player.js";

declare global {
  interface Window {
    /** For scripts and tests: the player of the page. */
    nmcPlayer?: Player;
  }
}

const asked = new URLSearchParams(location.search);
const player = new Player(asked);
window.nmcPlayer = player;
void player.start();
