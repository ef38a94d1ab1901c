// SPDX-License-Identifier: Apache-2.0
// Before the first paint: light or dark, and the language of the page.
(function () {
  var kept = localStorage.getItem('ws-theme')
  var dark = kept === 'dark' || (kept !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches)
  document.documentElement.classList.add(dark ? 'ws-dark' : 'ws-light')
  var language = localStorage.getItem('ws-language') || (navigator.language.toLowerCase().indexOf('zh') === 0 ? 'zh' : 'en')
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en'
})()
