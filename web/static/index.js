// SPDX-License-Identifier: Apache-2.0
// Start page: log in, the virtual machines as they are now, a way into each console.
import { api, socket } from './api.js';
import { t } from './texts.js';

const $ = (id) => document.getElementById(id);
const vms = new Map();
let live = null;
let retryMs = 500;

for (const element of document.querySelectorAll('[data-text]')) element.textContent = t(element.dataset.text);
$('logout').textContent = t('logout');

function size(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  for (; bytes >= 1024 && i < units.length - 1; i++) bytes /= 1024;
  return `${bytes % 1 ? bytes.toFixed(1) : bytes} ${units[i]}`;
}

function cell(text) {
  const td = document.createElement('td');
  td.textContent = text ?? '-';
  td.dir = 'auto';
  return td;
}

function power(vm) {
  const state = vm.power?.state ?? 'unknown';
  const td = cell(t(state));
  td.className = `power ${state}`;
  return td;
}

function activity(vm) {
  if (!vm.activity) return '';
  return vm.activity.percent === undefined ? vm.activity.verb : `${vm.activity.verb} ${vm.activity.percent} %`;
}

async function openConsole(vm) {
  const tab = window.open('about:blank', `console-${vm.id}`);
  try {
    const ticket = await api('POST', `/vms/${vm.id}/console`, { kind: 'vnc' });
    tab.location = ticket.url;
  } catch (error) {
    tab.close();
    show(error.message);
  }
}

function row(vm) {
  const tr = document.createElement('tr');
  const button = document.createElement('button');
  button.textContent = t('console');
  button.disabled = !['running', 'paused', 'io_held', 'crashed'].includes(vm.power?.state);
  button.addEventListener('click', () => openConsole(vm));
  const last = document.createElement('td');
  last.append(button);
  tr.append(cell(vm.id), cell(vm.name), power(vm), cell((vm.guest?.ips ?? []).join(' ')), cell(vm.cpu?.vcpus), cell(size(vm.memory_bytes ?? 0)), cell(activity(vm)), last);
  return tr;
}

function draw() {
  const all = [...vms.values()].filter((vm) => vm.management !== 'in_bin').sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
  $('vms').tBodies[0].replaceChildren(...all.map(row));
  $('vms').hidden = all.length === 0;
  $('none').hidden = all.length > 0;
}

function show(text) {
  $('live').textContent = text;
}

async function load() {
  const list = await api('GET', '/vms?limit=10000');
  vms.clear();
  for (const vm of list.items) vms.set(vm.id, vm);
  draw();
  return list.revision;
}

function take(message) {
  if (message.relist) return false;
  for (const change of message.changes) {
    if (change.op === 'gone') vms.delete(change.id);
    else vms.set(change.id, change.object);
  }
  if (message.changes.length) draw();
  return true;
}

async function follow() {
  try {
    const revision = await load();
    live = socket(`/watch?types=vms&since=${revision}`);
    live.onopen = () => { retryMs = 500; show(''); };
    live.onmessage = (event) => { if (!take(JSON.parse(event.data))) live.close(); };
    live.onclose = again;
  } catch (error) {
    if (error.status === 401) return start();
    again();
  }
}

function again() {
  if (!live && $('login').hidden === false) return;
  show(t('stopped_live', { time: new Date().toLocaleTimeString() }));
  setTimeout(follow, retryMs);
  retryMs = Math.min(retryMs * 2, 15000);
}

function start() {
  live = null;
  $('login').hidden = false;
  $('vms').hidden = $('none').hidden = $('logout').hidden = true;
  show('');
}

async function enter() {
  $('login').hidden = true;
  $('logout').hidden = false;
  await follow();
}

$('login').addEventListener('submit', async (event) => {
  event.preventDefault();
  const form = new FormData($('login'));
  try {
    await api('POST', '/sessions?cookie=true', { user_name: form.get('user'), password: form.get('password') });
    $('login').reset();
    $('error').textContent = '';
    await enter();
  } catch (error) {
    $('error').textContent = error.message;
  }
});

$('logout').addEventListener('click', async () => {
  const me = await api('GET', '/whoami');
  const socketNow = live;
  live = null;
  $('login').hidden = false;
  socketNow?.close();
  if (me.session) await api('DELETE', `/sessions/${me.session}`);
  start();
});

api('GET', '/whoami').then(enter, start);
