// SPDX-License-Identifier: Apache-2.0
// A VM's screen. The first connection uses the ticket of the link; later ones ask for a new ticket, for as long as the VM runs.
import RFB from './novnc/core/rfb.js';
import { api } from './api.js';
import { t } from './texts.js';

const params = new URLSearchParams(location.hash.slice(1));
const vm = params.get('vm');
const $ = (id) => document.getElementById(id);
let ticket = params.get('ticket');
let rfb = null;
let retryMs = 500;

$('cad').textContent = t('ctrl_alt_del');
$('full').textContent = t('full');
history.replaceState(null, '', `#vm=${vm}`); // the ticket is used up: not for the history

function state(text) {
  $('state').textContent = text;
}

function connect() {
  state(t('connecting'));
  rfb = new RFB($('screen'), `wss://${location.host}/api/v1/console?ticket=${encodeURIComponent(ticket)}`, { shared: true });
  ticket = null;
  rfb.scaleViewport = true;
  rfb.background = 'transparent';
  rfb.addEventListener('connect', () => { retryMs = 500; state(t('connected')); rfb.focus(); });
  rfb.addEventListener('disconnect', () => { rfb = null; state(t('lost')); setTimeout(again, retryMs); retryMs = Math.min(retryMs * 2, 15000); });
}

async function again() {
  try {
    ticket = (await api('POST', `/vms/${vm}/console`, { kind: 'vnc' })).ticket;
    connect();
  } catch (error) {
    if (error.status === 401) return state(t('gone'));
    state(t('failed', { reason: error.message }));
    setTimeout(again, retryMs);
    retryMs = Math.min(retryMs * 2, 15000);
  }
}

$('cad').addEventListener('click', () => rfb?.sendCtrlAltDel());
$('full').addEventListener('click', () => $('screen').requestFullscreen());
api('GET', `/vms/${vm}?fields=name`).then((object) => { $('name').textContent = object.name; document.title = object.name; }, () => {});
if (ticket) connect(); else again();
