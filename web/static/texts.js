// SPDX-License-Identifier: Apache-2.0
// Texts of the pages in both languages.
export const TEXTS = {
  en: {
    title: 'WinSphere', user: 'User', password: 'Password', login: 'Log in', logout: 'Log out', name: 'Name', id: 'ID', power: 'Power',
    address: 'Address', cpu: 'vCPU', memory: 'Memory', activity: 'Activity', console: 'Console', none: 'No virtual machines yet. Try: winctl vm deploy',
    running: 'Running', off: 'Off', paused: 'Paused', hibernated: 'Hibernated', io_held: 'Waiting for storage', crashed: 'Crashed', unknown: 'Unknown',
    stopped_live: 'Live data stopped at {time}', connecting: 'Connecting...', connected: 'Connected', lost: 'Connection lost. Trying again...',
    gone: 'The ticket has been used or has expired. Open the console again from the list.', ctrl_alt_del: 'Ctrl+Alt+Del', full: 'Full screen', failed: 'The VM cannot be reached: {reason}',
  },
  zh: {
    title: 'WinSphere', user: '用户名', password: '密码', login: '登录', logout: '退出', name: '名称', id: 'ID', power: '电源状态',
    address: '地址', cpu: 'vCPU', memory: '内存', activity: '活动', console: '控制台', none: '还没有虚拟机。可执行：winctl vm deploy',
    running: '运行中', off: '已关机', paused: '已暂停', hibernated: '已休眠', io_held: '等待存储', crashed: '已崩溃', unknown: '未知',
    stopped_live: '实时数据已于 {time} 停止', connecting: '正在连接……', connected: '已连接', lost: '连接中断，正在重试……',
    gone: '票据已使用或已过期，请从列表重新打开控制台。', ctrl_alt_del: 'Ctrl+Alt+Del', full: '全屏', failed: '无法访问虚拟机：{reason}',
  },
};

const lang = (navigator.language || 'en').toLowerCase().startsWith('zh') ? 'zh' : 'en';
document.documentElement.lang = lang === 'zh' ? 'zh-CN' : 'en';

export function t(key, params = {}) {
  return (TEXTS[lang][key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => params[name] ?? whole);
}
