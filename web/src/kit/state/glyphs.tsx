// SPDX-License-Identifier: Apache-2.0
// Glyphs of states: 16 px, told apart in black and white. Named as in api/looks.yaml; ours, drawn by hand.
import type { ReactNode } from 'react'

const line = { fill: 'none', stroke: 'currentColor', strokeWidth: 1.6, strokeLinecap: 'round', strokeLinejoin: 'round' } as const
const solid = { fill: 'currentColor' } as const
const hole = { fill: 'none', stroke: 'var(--glyph-hole)', strokeWidth: 1.7, strokeLinecap: 'round', strokeLinejoin: 'round' } as const
const holeFill = { fill: 'var(--glyph-hole)' } as const

const disc = <circle cx="8" cy="8" r="6.6" {...solid} />
const square = <rect x="1.6" y="2" width="12.8" height="12" rx="2" {...line} />
const cylinder = <path d="M2.4 4v8c0 1.2 2.5 2 5.6 2s5.6-.8 5.6-2V4c0-1.2-2.5-2-5.6-2s-5.6.8-5.6 2c0 1.2 2.5 2 5.6 2s5.6-.8 5.6-2" {...line} />

export const GLYPHS: Record<string, ReactNode> = {
  disc_play: <>{disc}<path d="M6.3 5v6l5-3z" {...holeFill} /></>,
  ring: <circle cx="8" cy="8" r="5.8" {...line} />,
  disc_bars: <>{disc}<path d="M6.3 5.3v5.4M9.7 5.3v5.4" {...hole} /></>,
  moon: <path d="M12.9 10.6A6 6 0 0 1 5.4 3.1a6 6 0 1 0 7.5 7.5z" {...solid} />,
  disc_disk: <>{disc}<ellipse cx="8" cy="5.8" rx="3" ry="1.3" {...holeFill} /><path d="M5 6.2v4c0 .7 1.3 1.3 3 1.3s3-.6 3-1.3v-4" {...hole} strokeWidth={1.2} /></>,
  octagon: <><path d="M5.3 1.6h5.4l3.7 3.7v5.4l-3.7 3.7H5.3l-3.7-3.7V5.3z" {...solid} /><path d="M8 4.6v4M8 11.2v.1" {...hole} /></>,
  ring_question: <><circle cx="8" cy="8" r="6" {...line} strokeDasharray="2.4 2" /><path d="M6.4 6.4c.2-2 3.4-1.9 3.3.2 0 1.2-1.6 1.3-1.6 2.6M8.1 11.2v.1" {...line} strokeWidth={1.4} /></>,
  tick: <path d="M3 8.5l3.3 3.3L13 4.8" {...line} strokeWidth={2} />,
  tick_mark: <><path d="M1.8 8.5l2.8 2.8L10 5.2" {...line} strokeWidth={2} /><path d="M13.2 4v5M13.2 12v.1" {...line} strokeWidth={2} /></>,
  cross: <path d="M4 4l8 8M12 4l-8 8" {...line} strokeWidth={2.2} />,
  dash: <path d="M3.5 8h9" {...line} strokeWidth={2.2} />,
  dots: <><circle cx="8" cy="8" r="6" {...line} strokeOpacity={0.3} /><path d="M8 2a6 6 0 0 1 6 6" {...line} strokeWidth={2} className="spin" /></>,
  hourglass: <path d="M4 2h8M4 14h8M5 2c0 4 6 4 6 12M11 2c0 4-6 4-6 12" {...line} />,
  turn_back: <path d="M5.8 3L2.6 6.2l3.2 3.2M3 6.2h6.6a3.6 3.6 0 1 1 0 7.2H6" {...line} strokeWidth={1.8} />,
  broken_link: <path d="M6.8 4.6l1.6-1.6a3.2 3.2 0 0 1 4.6 4.6l-1.6 1.6M9.2 11.4l-1.6 1.6A3.2 3.2 0 0 1 3 8.4l1.6-1.6M2.4 2.4l11.2 11.2" {...line} />,
  bin: <path d="M2.6 4.4h10.8M6 4.4V2.6h4v1.8M4 4.4l.7 9h6.6l.7-9M6.7 7v4M9.3 7v4" {...line} />,
  square_tick: <>{square}<path d="M4.9 8.3l2.2 2.2 4-4.6" {...line} strokeWidth={1.9} /></>,
  square_dots: <>{square}<path d="M5 8v.1M8 8v.1M11 8v.1" {...line} strokeWidth={2.2} /></>,
  square_mark: <>{square}<path d="M8 5v3.6M8 11v.1" {...line} strokeWidth={2} /></>,
  square_cross: <>{square}<path d="M5.6 5.6l4.8 4.8M10.4 5.6l-4.8 4.8" {...line} strokeWidth={1.9} /></>,
  wrench: <path d="M9.6 6.4l-6.4 6.4M13.6 4.4a3.6 3.6 0 0 1-4.9 4L9.6 6.4 8.1 4.9a3.6 3.6 0 0 1 3.6-2.5L9.9 4.2l1.9 1.9z" {...line} />,
  cylinder_tick: <>{cylinder}<path d="M5.6 9.8l1.7 1.7 3.2-3.4" {...line} /></>,
  cylinder_dots: <>{cylinder}<path d="M5.4 10v.1M8 10v.1M10.6 10v.1" {...line} strokeWidth={2} /></>,
  cylinder_mark: <>{cylinder}<path d="M8 7.8v2.4M8 12v.1" {...line} strokeWidth={1.9} /></>,
  cylinder_full: <path d="M2.4 4v8c0 1.2 2.5 2 5.6 2s5.6-.8 5.6-2V4c0-1.2-2.5-2-5.6-2s-5.6.8-5.6 2z" {...solid} />,
  cylinder_bars: <>{cylinder}<path d="M6.6 8.2v3.6M9.4 8.2v3.6" {...line} strokeWidth={1.9} /></>,
  cylinder_dashed: <path d="M2.4 4v8c0 1.2 2.5 2 5.6 2s5.6-.8 5.6-2V4c0-1.2-2.5-2-5.6-2s-5.6.8-5.6 2c0 1.2 2.5 2 5.6 2s5.6-.8 5.6-2" {...line} strokeDasharray="2.2 2.2" />,
  triangle: <><path d="M8 1.8L15 14H1z" {...solid} /><path d="M8 6.2v3.4M8 11.9v.1" {...hole} /></>,
  diamond: <path d="M8 1.8L14.2 8 8 14.2 1.8 8z" {...line} />,
  circle_i: <><circle cx="8" cy="8" r="6.4" {...line} /><path d="M8 7.4v4M8 4.7v.1" {...line} strokeWidth={1.8} /></>,
  circle: <circle cx="8" cy="8" r="4" {...line} />,
}

/** Glyphs of things and of actions, drawn in the same hand. */
export const ICONS: Record<string, ReactNode> = {
  site: <path d="M2 14V6l6-4 6 4v8M2 14h12M6.4 14v-4h3.2v4" {...line} strokeWidth={1.4} />,
  'host-pools': <path d="M2 3.5h5l1.4 1.8H14V13H2z" {...line} strokeWidth={1.4} />,
  'business-groups': <path d="M2 5.5h12V13H2zM5.5 5.5V3h5v2.5M2 9h12" {...line} strokeWidth={1.4} />,
  clusters: <path d="M2 2.5h5v4H2zM9 2.5h5v4H9zM5.5 9.5h5v4h-5zM4.5 6.5v1.6h7V6.5M8 8.1v1.4" {...line} strokeWidth={1.3} />,
  hosts: <path d="M2.4 2.6h11.2v4.6H2.4zM2.4 8.8h11.2v4.6H2.4zM4.8 4.9h.1M4.8 11.1h.1M8.6 4.9h3M8.6 11.1h3" {...line} strokeWidth={1.4} />,
  vms: <path d="M1.8 2.6h12.4v8.6H1.8zM5.4 13.8h5.2M8 11.4v2.2" {...line} strokeWidth={1.4} />,
  pools: <path d="M2.4 4v8c0 1.2 2.5 2 5.6 2s5.6-.8 5.6-2V4M13.6 4c0 1.2-2.5 2-5.6 2s-5.6-.8-5.6-2 2.5-2 5.6-2 5.6.8 5.6 2zM2.4 8c0 1.2 2.5 2 5.6 2s5.6-.8 5.6-2" {...line} strokeWidth={1.3} />,
  volumes: <path d="M2.2 2.2h11.6v11.6H2.2zM8 10.4a2.6 2.6 0 1 0 0-5.2 2.6 2.6 0 0 0 0 5.2zM8 7.8h.1" {...line} strokeWidth={1.4} />,
  images: <path d="M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 9.6a1.6 1.6 0 1 0 0-3.2 1.6 1.6 0 0 0 0 3.2z" {...line} strokeWidth={1.4} />,
  switches: <path d="M2 5h12v6H2zM4.5 8h.1M7 8h.1M9.5 8h.1M12 8h.1M4 5V3M12 5V3" {...line} strokeWidth={1.4} />,
  'port-groups': <path d="M3 13V7h10v6M8 7V3M5 3h6M5.6 13v-2.4M10.4 13v-2.4M8 13v-2.4" {...line} strokeWidth={1.4} />,
  tasks: <path d="M3 3.5l1 1 1.6-2M7.6 3.5H14M3 8l1 1 1.6-2M7.6 8H14M3 12.5l1 1 1.6-2M7.6 12.5H14" {...line} strokeWidth={1.4} />,
  alarms: <path d="M3.4 11.4c1-1 1-2.2 1-4a3.6 3.6 0 0 1 7.2 0c0 1.8 0 3 1 4zM6.6 13.4a1.5 1.5 0 0 0 2.8 0" {...line} strokeWidth={1.4} />,
  events: <path d="M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.6V8l2.4 1.6" {...line} strokeWidth={1.4} />,
  migrations: <path d="M2 5.4h9.6M9 2.6l2.8 2.8L9 8.2M14 10.6H4.4M7 7.8l-2.8 2.8L7 13.4" {...line} strokeWidth={1.4} />,
  users: <path d="M8 7.6a2.7 2.7 0 1 0 0-5.4 2.7 2.7 0 0 0 0 5.4zM2.6 14c.4-3 2.6-4.4 5.4-4.4s5 1.4 5.4 4.4z" {...line} strokeWidth={1.4} />,
  roles: <path d="M8 1.8l5.4 2v4c0 3.4-2.2 5.4-5.4 6.6-3.2-1.2-5.4-3.2-5.4-6.6v-4z" {...line} strokeWidth={1.4} />,
  backups: <path d="M13.4 8A5.4 5.4 0 1 1 11.6 4M11.8 1.8v2.6H9.2M8 5.2V8l1.8 1.2" {...line} strokeWidth={1.4} />,
  bin: <path d="M2.6 4.4h10.8M6 4.4V2.6h4v1.8M4 4.4l.7 9h6.6l.7-9" {...line} strokeWidth={1.4} />,
  'affinity-rules': <path d="M5 7.4a2.4 2.4 0 1 0 0-4.8 2.4 2.4 0 0 0 0 4.8zM11 13.4a2.4 2.4 0 1 0 0-4.8 2.4 2.4 0 0 0 0 4.8zM6.7 6.7l2.6 2.6" {...line} strokeWidth={1.4} />,
  'drs-recommendations': <path d="M8 2.4v11.2M3 13.6h10M3 5h10M3 5l-1.6 4h3.2zM13 5l-1.6 4h3.2z" {...line} strokeWidth={1.3} />,
  'identity-providers': <path d="M8 7.2a2.2 2.2 0 1 0 0-4.4 2.2 2.2 0 0 0 0 4.4zM2 13.6h12M4 13.6c0-2.6 1.6-4 4-4s4 1.4 4 4" {...line} strokeWidth={1.4} />,
  sessions: <path d="M2 3h12v8H2zM6 13.6h4M5 7h6M9 5l2 2-2 2" {...line} strokeWidth={1.3} />,
  'api-tokens': <path d="M5.4 10.6a2.9 2.9 0 1 0 0-5.8 2.9 2.9 0 0 0 0 5.8zM8.3 7.7H14v2.6M11.4 7.7v2" {...line} strokeWidth={1.4} />,
  'join-tokens': <path d="M2.4 9.6h11.2v3.8H2.4zM4.8 11.5h.1M8 7.4v-5M5.6 4.8h4.8" {...line} strokeWidth={1.4} />,
  'audit-records': <path d="M3.4 2.4h6.4l2.8 2.8v8.4H3.4zM5.8 6.4h4.4M5.8 8.8h4.4M5.8 11.2h2.6" {...line} strokeWidth={1.3} />,
  'ended-tasks': <path d="M3 3.5l1 1 1.6-2M7.6 3.5H14M3 8l1 1 1.6-2M7.6 8H14M10.4 14a2.4 2.4 0 1 0 0-4.8 2.4 2.4 0 0 0 0 4.8zM10.4 10.6v1.2h1" {...line} strokeWidth={1.2} />,
  search: <path d="M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10zM10.8 10.8L14 14" {...line} />,
  menu: <path d="M2.5 4h11M2.5 8h11M2.5 12h11" {...line} />,
  more: <path d="M3.5 8h.1M8 8h.1M12.5 8h.1" {...line} strokeWidth={2.6} />,
  down: <path d="M4 6l4 4 4-4" {...line} />,
  right: <path d="M6 4l4 4-4 4" {...line} />,
  up: <path d="M4 10l4-4 4 4" {...line} />,
  close: <path d="M4 4l8 8M12 4l-8 8" {...line} />,
  grow: <path d="M2.4 5.4h7v8.2h-7zM12.8 13V3M10 5.6l2.8-2.8 2.8 2.8" {...line} strokeWidth={1.4} />,
  plus: <path d="M8 3v10M3 8h10" {...line} />,
  play: <path d="M4.6 2.8v10.4L13 8z" {...solid} />,
  power: <path d="M8 1.8v6M4.6 4a5.4 5.4 0 1 0 6.8 0" {...line} strokeWidth={1.8} />,
  stop: <rect x="3.4" y="3.4" width="9.2" height="9.2" rx="1" {...solid} />,
  pause: <path d="M5 3v10M11 3v10" {...line} strokeWidth={2.6} />,
  restart: <path d="M13 8a5 5 0 1 1-1.6-3.6M11.6 1.8v2.8H8.8" {...line} strokeWidth={1.6} />,
  console: <path d="M1.8 2.8h12.4v10.4H1.8zM4.4 6l2 2-2 2M8.4 10.2h3" {...line} strokeWidth={1.5} />,
  edit: <path d="M2.6 13.4l.6-3L10.6 3l2.4 2.4-7.4 7.4zM9.2 4.4l2.4 2.4" {...line} strokeWidth={1.4} />,
  upload: <path d="M8 11V3M4.8 6L8 2.8 11.2 6M2.6 13.4h10.8" {...line} />,
  download: <path d="M8 2.8V11M4.8 8L8 11.2 11.2 8M2.6 13.4h10.8" {...line} />,
  columns: <path d="M2.4 2.6h11.2v10.8H2.4zM6.2 2.6v10.8M9.8 2.6v10.8" {...line} strokeWidth={1.4} />,
  copy: <path d="M5.6 5.6V2.4h8v8h-3.2M2.4 5.6h8v8h-8z" {...line} strokeWidth={1.4} />,
  sun: <path d="M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM8 1.6v1.2M8 13.2v1.2M1.6 8h1.2M13.2 8h1.2M3.5 3.5l.8.8M11.7 11.7l.8.8M12.5 3.5l-.8.8M4.3 11.7l-.8.8" {...line} strokeWidth={1.4} />,
  moon: <path d="M12.9 10.2A5.6 5.6 0 0 1 5.8 3.1a5.6 5.6 0 1 0 7.1 7.1z" {...line} strokeWidth={1.4} />,
  screen: <path d="M2 6V2.4h3.6M10.4 2.4H14V6M14 10v3.6h-3.6M5.6 13.6H2V10" {...line} />,
  keyboard: <path d="M1.6 4h12.8v8H1.6zM4 6.4h.1M6.6 6.4h.1M9.2 6.4h.1M11.8 6.4h.1M5 9.6h6" {...line} strokeWidth={1.4} />,
  help: <path d="M8 14.2A6.2 6.2 0 1 0 8 1.8a6.2 6.2 0 0 0 0 12.4zM6.2 6.4c.2-2.2 3.7-2 3.5.2-.1 1.2-1.7 1.3-1.7 2.7M8 11.4v.1" {...line} strokeWidth={1.4} />,
  globe: <path d="M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM2 8h12M8 2c2 1.8 2.6 4 2.6 6S10 12.2 8 14c-2-1.8-2.6-4-2.6-6S6 3.8 8 2z" {...line} strokeWidth={1.3} />,
  external: <path d="M6 3H2.6v10.4H13V10M9 2.6h4.4V7M13.2 2.8L7.4 8.6" {...line} strokeWidth={1.4} />,
  warn: <path d="M8 2L15 14H1zM8 6.4v3.4M8 11.9v.1" {...line} strokeWidth={1.5} />,
}

export function Glyph({ name, colour, title, size = 16 }: { name: string; colour: string; title?: string; size?: number }) {
  return (
    <svg className={`glyph state-${colour}`} width={size} height={size} viewBox="0 0 16 16" role={title ? 'img' : undefined} aria-label={title} aria-hidden={title ? undefined : true}>
      {GLYPHS[name] ?? GLYPHS.circle}
    </svg>
  )
}

export function Icon({ name, size = 16 }: { name: string; size?: number }) {
  return <svg className="icon" width={size} height={size} viewBox="0 0 16 16" aria-hidden>{ICONS[name] ?? ICONS.more}</svg>
}
