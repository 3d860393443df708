"""How the pages look: one theme and one style sheet for all of them."""

from pathlib import Path

import gradio as gr

_HERE = Path(__file__).parent


def make_theme() -> gr.themes.Base:
    """Return the theme; its colours have the contrast of WCAG 2.2 AA, in light and in dark."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.indigo,
        neutral_hue=gr.themes.colors.slate,
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
        radius_size=gr.themes.sizes.radius_md,
    ).set(
        body_background_fill="#f8fafc",
        body_background_fill_dark="#0b1120",
        body_text_color="#1e293b",
        body_text_color_dark="#e2e8f0",
        body_text_color_subdued="#475569",
        body_text_color_subdued_dark="#a8b5c8",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#172033",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_shadow="none",
        border_color_primary="#cbd5e1",
        border_color_primary_dark="#334155",
        button_primary_background_fill="#4f46e5",
        button_primary_background_fill_hover="#4338ca",
        button_primary_background_fill_dark="#a5b4fc",
        button_primary_background_fill_hover_dark="#c7d2fe",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#141b2d",
        button_secondary_background_fill="#e2e8f0",
        button_secondary_background_fill_dark="#26324a",
        button_secondary_text_color="#1e293b",
        button_secondary_text_color_dark="#e2e8f0",
        button_cancel_background_fill="#fef2f2",
        button_cancel_background_fill_hover="#fee2e2",
        button_cancel_background_fill_dark="#3b1a20",
        button_cancel_background_fill_hover_dark="#4c2027",
        button_cancel_text_color="#b91c1c",
        button_cancel_text_color_dark="#fca5a5",
        button_cancel_border_color="#fecaca",
        button_cancel_border_color_dark="#7f1d1d",
        input_background_fill="#ffffff",
        input_background_fill_dark="#172033",
        input_border_color="#94a3b8",
        input_border_color_dark="#5b6b84",
        input_placeholder_color="#5b6779",
        input_placeholder_color_dark="#a8b5c8",
        color_accent="#4f46e5",
        color_accent_soft="#e0e7ff",
        color_accent_soft_dark="#2a2f5c",
    )


def read_style() -> str:
    """Return the style sheet."""
    return (_HERE / "pages.css").read_text(encoding="utf-8")


def read_head() -> str:
    """Return what every page's head holds."""
    scripts = (_HERE / name for name in ("event_stream.js", "page.js"))
    return f"<script>{{{''.join(script.read_text(encoding='utf-8') for script in scripts)}}}</script>"
