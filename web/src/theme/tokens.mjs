// SPDX-License-Identifier: Apache-2.0
// The design tokens: the only place with colours. Ant Design's tokens, and those of states and charts, for light and dark.
// Read by the console (theme.tsx) and by tools/styles.mjs, which writes the style sheets when the console is built.

const fonts = {
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif',
  fontFamilyCode: 'ui-monospace, Consolas, "DejaVu Sans Mono", "Noto Sans Mono CJK SC", monospace',
}

const shape = {
  ...fonts, fontSize: 13, borderRadius: 6, controlHeight: 30, wireframe: false, motionDurationMid: '0.12s', motionDurationSlow: '0.16s', motionDurationFast: '0.08s',
}

/** Ant Design's seeds. */
export const antd = {
  light: {
    ...shape, colorPrimary: '#1460fd', colorInfo: '#1460fd', colorSuccess: '#16a160', colorWarning: '#cb760e', colorError: '#c41d25', colorLink: '#1257e0', colorLinkHover: '#1257e0', colorLinkActive: '#1257e0',
    colorBgLayout: '#f3f5f8', colorText: '#1b2430', colorTextSecondary: '#55606f', colorTextTertiary: '#667080', colorTextDescription: '#5b6675',
    colorTextPlaceholder: '#697484', colorBorder: '#cdd4de', colorBorderSecondary: '#e3e8ef',
  },
  dark: {
    ...shape, colorPrimary: '#578ef5', colorInfo: '#578ef5', colorSuccess: '#22c98b', colorWarning: '#f29e18', colorError: '#ed524f', colorLink: '#7fabff', colorLinkHover: '#7fabff', colorLinkActive: '#7fabff',
    colorBgBase: '#14171c', colorBgLayout: '#14171c', colorBgContainer: '#1d2127', colorBgElevated: '#262b33', colorText: '#e3e8ef', colorTextSecondary: '#aab4c2',
    colorTextTertiary: '#98a2b1', colorTextDescription: '#a3adbb', colorTextPlaceholder: '#8f99a8', colorBorder: '#3a424e', colorBorderSecondary: '#2b313b',
    colorTextLightSolid: '#0d1117',
  },
}

/** Colours of states: any two are told apart by people with any colour vision, and stand out from their background by 3:1. */
export const states = {
  light: { ok: '#16a160', busy: '#1460fd', warn: '#cb760e', bad: '#9f1113', off: '#70747e', unknown: '#852ea6' },
  dark: { ok: '#22e8ab', busy: '#578ef5', warn: '#f29e18', bad: '#ed524f', off: '#828894', unknown: '#e4b8f9' },
}

/** Series of charts, in order; the dash patterns beside them tell them apart without colour. */
export const series = {
  light: ['#1460fd', '#cb760e', '#16a160', '#852ea6', '#0d8fa8', '#b5297a', '#5f6b2a', '#70747e'],
  dark: ['#578ef5', '#f29e18', '#22e8ab', '#e4b8f9', '#4fd3ea', '#ff8cc6', '#c3d06a', '#9aa2af'],
}

/** The console's own surfaces. */
export const surfaces = {
  light: { page: '#f3f5f8', panel: '#ffffff', raised: '#ffffff', line: '#e3e8ef', strong: '#cdd4de', text: '#1b2430', soft: '#55606f', faint: '#667080', hover: '#eef3fb', picked: '#dfe9ff', header: '#0f1f3d', headerText: '#e8eefc', headerSoft: '#a9bbdc', accent: '#1460fd', link: '#1257e0', flash: '#fff3c4', track: '#e6eaf0', danger: '#c41d25', screen: '#0b0d10' },
  dark: { page: '#14171c', panel: '#1d2127', raised: '#262b33', line: '#2b313b', strong: '#3a424e', text: '#e3e8ef', soft: '#aab4c2', faint: '#98a2b1', hover: '#262c36', picked: '#233a63', header: '#0c1119', headerText: '#e3e8ef', headerSoft: '#98a6bd', accent: '#578ef5', link: '#7fabff', flash: '#4a3f14', track: '#333a45', danger: '#ff7672', screen: '#07090b' },
}

/** What Ant Design parts the console uses: their styles are in the build, those of others are not. */
export const parts = ['Alert', 'Button', 'Checkbox', 'Drawer', 'Dropdown', 'Form', 'Input', 'InputNumber', 'Menu', 'Modal', 'Popover', 'Progress', 'Radio', 'Segmented', 'Select', 'Space', 'Spin',
  'Switch', 'Tooltip', 'notification', 'Empty']
